"""What the names of pages and controls say, in many languages: paying, logging in, made to be clicked repeatedly."""
