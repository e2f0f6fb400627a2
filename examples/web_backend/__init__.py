"""An example: a web backend that forwards uploads to the library. See README.md."""
