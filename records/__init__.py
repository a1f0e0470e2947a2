"""What the records of the stream hold, for whoever writes or reads them."""
