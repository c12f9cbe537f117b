"""A log-in with Flask's session, which is in its cookie. PORT is where to listen, SECRET Flask's key."""

import os
import time

from flask import Flask, flash, get_flashed_messages, request, session

app = Flask(__name__)
app.secret_key = os.environ["SECRET"]


@app.get("/login")
def login():
    session.clear()
    session.update(user=request.args["u"], roles=["admin", "staff"])
    flash("Welcome")
    return {"user": session["user"]}


@app.get("/whoami")
def whoami():
    return {"user": session.get("user"), "roles": session.get("roles", []), "notices": get_flashed_messages()}


@app.get("/logout")
def logout():
    session.clear()
    return {}


@app.get("/slow")
def slow():
    time.sleep(3)
    return {"user": session.get("user")}


app.run("127.0.0.1", int(os.environ["PORT"]))
