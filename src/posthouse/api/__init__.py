"""The HTTP door of the SES API: AWS Query requests in, XML answers out.

Purpose: read and limit the request, find out who calls, make a typed request of the form, call the operation, show its
response or error. Source: the SES API reference (2010-12-01), AWS Signature Version 4. It is a raw ASGI callable:
a framework costs more here than the whole of our own work.
Flow: server.ApiDoor > wire.sigv4 > wire.query.parse > the operation > wire.query.render.
May import: operations (by the mapping it is given), ports, wire, domain, model.
Not here: sockets and TLS (the HTTP server), other paths than the API's own (web/, assembly), any rule of SES (domain/).
"""
