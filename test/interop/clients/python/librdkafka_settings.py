"""How librdkafka is told where the hub is and how to log in."""


def connection(args):
    settings = {"bootstrap.servers": args["bootstrap"], "client.id": "driver"}
    is_secured, login = "tls" in args, args.get("sasl")
    if is_secured:
        settings["ssl.ca.location"] = args["tls"]["caFile"]
    if login is not None:
        settings["sasl.mechanisms"] = login["mechanism"]
        settings["sasl.username"] = login["username"]
        settings["sasl.password"] = login["password"]
    if is_secured or login is not None:
        settings["security.protocol"] = f"{'SASL_' if login else ''}{'SSL' if is_secured else 'PLAINTEXT'}"
    return settings
