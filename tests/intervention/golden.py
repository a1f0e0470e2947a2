"""What the version before this one has written, so that it stays readable: base64 of its bytes."""

import base64
from typing import Final

HELPED: Final = base64.b64decode(
    "lpKcp2ktMy01LTClZW1haWzCzwAGR8iEXUQAzwAGR95PW+wABK9zZW5kX2hlbHBfZW1haWyRpmluX2FwcKdzdXBwb3J0omFpzwAGR8iEXUQA"
    "wpynaS0zLTYtMKZpbl9hcHDDzwAGR8iH8MsAzwAGR8jzOp0AALRzaG93X2xpdmVfY2hhdF9wb3B1cJCnc3VwcG9ydKVodW1hbs8ABkfIh/DL"
    "AMLcABWnaS0zLTYtMLVjcml0aWNhbF9pbnRlcnZlbnRpb260c2hvd19saXZlX2NoYXRfcG9wdXDZWEl0IGxvb2tzIGxpa2UgdGhlIGZvcm0g"
    "aXMgZ2l2aW5nIHlvdSB0cm91YmxlLiBXb3VsZCB5b3UgbGlrZSB0byBjaGF0IHdpdGggb25lIG9mIHVzIG5vdz+maW5fYXBwpGhpZ2jPAAZH"
    "yPM6nQDPAAZHyIuEUgDLP9mZmZmZmZqQkqlsaXZlX2NoYXSsc3VwcG9ydF9saW5ry0BUAAAAAAAApGhpZ2iRq2Zvcm1fZXJyb3Jzqy9jYWxj"
    "dWxhdG9yyz/pmZmZmZmap3N1cHBvcnSlaHVtYW6oc3RhbmRhcmTPAAZHyIfwywDDgaVlbWFpbJIDAAOBo0VVUstAKQAAAAAAAJmhbc8ABkfI"
    "hF1EAMOucHJvYWN0aXZlX2hlbHCvc2VuZF9oZWxwX2VtYWlspWVtYWlspm1lZGl1bcLC"
)
"""A user with an e-mail that gave way to a chat that waits, three accepted e-mails, and purchases of 12.50 EUR."""

BLOCK: Final = base64.b64decode(
    "nrJkZWZhdWx0LTIrYWVlYTIwODWnbW9kZWwtMadydWxlcy0xkgABkqNhZGGjYm90kqVlLTYtMKVlLTYtMZLPAAZHyIfwywDPAAZHyIRdRACS"
    "xBAAAAAAAAAAAAAAAAAAAAAHxBAAAAAAAAAAAAAAAAAAAAAHkqsvY2FsY3VsYXRvcqsvY2FsY3VsYXRvcpKXy0BUAAAAAAAAA8s/6ZmZmZmZ"
    "mss/8AAAAAAAAMtAAAAAAAAAAAKRk6tmb3JtX2Vycm9yc8tAJAAAAAAAALZiZWNhdXNlIG9mIGZvcm1fZXJyb3Jzl8tAWMAAAAAAAATLP+mZ"
    "mZmZmZrLP/AAAAAAAADLQAAAAAAAAAAAkJEBgQCYrUV1cm9wZS9CZXJsaW7AlZGcp2ktMy01LTClZW1haWzCzwAGR8iEXUQAzwAGR95PW+wA"
    "AK9zZW5kX2hlbHBfZW1haWyRpmluX2FwcKdzdXBwb3J0omFpzwAGR8iEXUQAwoGlZW1haWySAwCBo0VVUstAKQAAAAAAAJmhbc8ABkfIhF1E"
    "AMOucHJvYWN0aXZlX2hlbHCvc2VuZF9oZWxwX2VtYWlspWVtYWlspm1lZGl1bcLCkJeRAdl5VGhlIHJpc2sgb2YgODAuMCAoaGlnaCkgaGFz"
    "IHJlYWNoZWQgdGhlIHRyaWdnZXIgb2YgNzUuIEhlbHAgZ29lcyBieSBpbl9hcHAgd2l0aCBoaWdoIHByaW9yaXR5LCA0MCUgbGlrZWx5IHRv"
    "IGJlIGFjY2VwdGVkLtwAFadpLTMtNi0wtWNyaXRpY2FsX2ludGVydmVudGlvbrRzaG93X2xpdmVfY2hhdF9wb3B1cNlYSXQgbG9va3MgbGlr"
    "ZSB0aGUgZm9ybSBpcyBnaXZpbmcgeW91IHRyb3VibGUuIFdvdWxkIHlvdSBsaWtlIHRvIGNoYXQgd2l0aCBvbmUgb2YgdXMgbm93P6Zpbl9h"
    "cHCkaGlnaM8ABkfI8zqdAM8ABkfIi4RSAMs/2ZmZmZmZmpCSqWxpdmVfY2hhdKxzdXBwb3J0X2xpbmvLQFQAAAAAAACkaGlnaJGrZm9ybV9l"
    "cnJvcnOrL2NhbGN1bGF0b3LLP+mZmZmZmZqnc3VwcG9ydKVodW1hbqhzdGFuZGFyZM8ABkfIh/DLAMOSlrRzaG93X2xpdmVfY2hhdF9wb3B1"
    "cKZpbl9hcHDLP9mZmZmZmZrLP/AAAAAAAADAw5akbm9uZaDLAAAAAAAAAADLAAAAAAAAAADAwss/3RGJs1CujsDAAaDAkJKrZXJyb3JfY291"
    "bnSrcmV0cnlfY291bnSqZmVhdHVyZXMtMQ=="
)
"""The ledger's block of the chat's decision, and of one on a script."""

INPUTS: Final = base64.b64decode(
    "lK1FdXJvcGUvQmVybGluwsCVkZynaS0zLTUtMKVlbWFpbMLPAAZHyIRdRADPAAZH3k9b7AAAr3NlbmRfaGVscF9lbWFpbJGmaW5fYXBwp3N1"
    "cHBvcnSiYWnPAAZHyIRdRADCgaVlbWFpbJIDAIGjRVVSy0ApAAAAAAAAmaFtzwAGR8iEXUQAw65wcm9hY3RpdmVfaGVscK9zZW5kX2hlbHBf"
    "ZW1haWylZW1haWymbWVkaXVtwsKQ"
)
"""The inputs of the chat's decision, as the archive has them."""
