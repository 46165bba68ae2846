"""Steps of the generate job as plain classes: set up once, then process batches."""
