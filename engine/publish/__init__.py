"""A data set folder as others see it: card, report page, Croissant and exports."""
