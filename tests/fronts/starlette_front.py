"""A log-in with Starlette's session, which is in its cookie. PORT is where to listen, SECRET what it is signed with."""

import asyncio
import os

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.responses import JSONResponse
from starlette.routing import Route


async def login(request):
    request.session.clear()
    request.session.update(user=request.query_params["u"], roles=["admin", "staff"], notices=["Welcome"])
    return JSONResponse({"user": request.session["user"]})


async def whoami(request):
    session = request.session
    notices = session.pop("notices", [])
    return JSONResponse({"user": session.get("user"), "roles": session.get("roles", []), "notices": notices})


async def logout(request):
    request.session.clear()
    return JSONResponse({})


async def slow(request):
    await asyncio.sleep(3)
    return JSONResponse({"user": request.session.get("user")})


pages = [Route(f"/{page.__name__}", page) for page in (login, whoami, logout, slow)]
middleware = [Middleware(SessionMiddleware, secret_key=os.environ["SECRET"])]
uvicorn.run(Starlette(routes=pages, middleware=middleware), host="127.0.0.1", port=int(os.environ["PORT"]))
