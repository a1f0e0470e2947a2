"""The archive: names, columns, files, and the archiver that writes them."""
