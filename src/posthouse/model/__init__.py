"""The SES service model: the vocabulary every other room speaks.

Purpose: the requests, responses and nested structures of all 71 operations, their constraints, and the errors a caller
can be answered with. Source: the service model of API version 2010-12-01 as published with the AWS SDKs.
``generated.py`` comes from it by ``tools/generate_model.py`` (a test proves it fresh); ``shapes.py`` and ``errors.py``
are written by hand. Everything here is an immutable value, or an error to be raised.
May import: nothing of ours.
Not here: how a request looks on the wire (wire/query), what a value means (domain/), documentation texts.
"""
