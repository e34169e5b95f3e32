"""What a caller may ask for: the operations of the SES API, one function each, one file per resource.

Shape: ``async def verify_email_identity(req, caller, ctx) -> VerifyEmailIdentityResponse`` — typed in, typed out;
gather facts, let the domain decide, act. Source: API reference 2010-12-01. `table.OPERATIONS` lists all that are built.
May import: submission, ports, mail, wire, domain, model.
Not here: bytes, signatures and XML (api/); rules (domain/).
"""
