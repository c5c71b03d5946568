"""Names, units and tables as the pages write them."""
