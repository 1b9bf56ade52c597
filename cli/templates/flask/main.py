from flask import Flask, request

app = Flask(__name__)


@app.get("/")
def hello():
    return {"greeting": "Hello from Flask!"}


@app.post("/echo")
def echo():
    return request.get_json()
