"""What the server does for a caller, whichever door the call came by: no protocol is known here."""
