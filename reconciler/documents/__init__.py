"""Records as JSON documents: encoding, strict decoding, schemas, saved plans and reports."""
