"""An example: a web backend that streams uploads through to the library. See README.md."""
