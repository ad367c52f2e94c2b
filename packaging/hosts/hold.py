"""Holds one TLS connection and sends a request five times a second: hold.py OUT HOST CA CERTIFICATE KEY.

Writes "open" to OUT after the first response, and "closed" with the number of responses when the server ends the connection."""

import http.client
import ssl
import sys
import time

out, host, authority, certificate, key = sys.argv[1:]


def report(text):
    with open(out, "w", encoding="utf-8") as file:
        file.write(text + "\n")


context = ssl.create_default_context(cafile=authority)
context.load_cert_chain(certificate, key)
connection = http.client.HTTPSConnection(host, 2379, context=context, timeout=10)
connection.connect()
# Without a socket, http.client would connect again by itself.
connection.auto_open = 0
responses = 0
while True:
    try:
        connection.request("GET", "/health")
        response = connection.getresponse()
        response.read()
        if connection.sock is None:
            raise ConnectionError("the server ends the connection")
    except (OSError, http.client.HTTPException) as error:
        report(f"closed after {responses} responses: {error or type(error).__name__}")
        break
    responses += 1
    if responses == 1:
        report("open")
    time.sleep(0.2)
