"""How kafka-python is told where the hub is and how to log in."""


def connection(args):
    settings = {"bootstrap_servers": args["bootstrap"], "client_id": "driver"}
    is_secured, login = "tls" in args, args.get("sasl")
    if is_secured:
        settings["ssl_cafile"] = args["tls"]["caFile"]
    if login is not None:
        settings["sasl_mechanism"] = login["mechanism"]
        settings["sasl_plain_username"] = login["username"]
        settings["sasl_plain_password"] = login["password"]
    if is_secured or login is not None:
        settings["security_protocol"] = f"{'SASL_' if login else ''}{'SSL' if is_secured else 'PLAINTEXT'}"
    return settings
