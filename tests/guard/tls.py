"""Speaks TLS in front of a port: tls.py CERTIFICATE KEY TARGET. Prints the port it listens on."""
import socket, ssl, sys, threading

certificate, key, target = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)


def copy(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def serve(plain):
    try:
        client = context.wrap_socket(plain, server_side=True)
    except (OSError, ssl.SSLError):
        return
    service = socket.create_connection(("127.0.0.1", int(target)))
    threading.Thread(target=copy, args=(service, client), daemon=True).start()
    copy(client, service)


while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
