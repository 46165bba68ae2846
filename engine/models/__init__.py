"""The networks, and how annotation and caption become their condition."""
