"""Neural style transfer with every gradient by hand."""
