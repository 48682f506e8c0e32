"""The commands of ``pseg``, one module each; they alone print."""
