import os
import sqlite3
import tempfile

from flask import Flask, g, jsonify, redirect, render_template, request, url_for

app = Flask(__name__)
database = os.environ.get("NOTES_DATABASE", os.path.join(tempfile.gettempdir(), "notes.sqlite"))


def connection():
    """One connection per request; the table is made by the first that finds it missing."""
    if "connection" not in g:
        g.connection = sqlite3.connect(database)
        g.connection.row_factory = sqlite3.Row
        g.connection.execute("create table if not exists notes (id integer primary key, text text not null)")
    return g.connection


@app.teardown_appcontext
def close(_error):
    if "connection" in g:
        g.connection.close()


@app.get("/")
def page():
    return render_template("notes.html", notes=all_notes())


@app.post("/")
def add_by_form():
    add(request.form.get("text", ""))
    return redirect(url_for("page"))


@app.get("/notes")
def list_notes():
    return jsonify(all_notes())


@app.post("/notes")
def add_note():
    note = add((request.get_json(silent=True) or {}).get("text", ""))
    if note is None:
        return jsonify(error="a note has a text"), 422
    return jsonify(note), 201


@app.delete("/notes/<int:number>")
def delete_note(number):
    with connection() as db:
        is_gone = db.execute("delete from notes where id = ?", (number,)).rowcount == 1
    return ("", 204) if is_gone else (jsonify(error=f"no note {number}"), 404)


def all_notes():
    return [dict(row) for row in connection().execute("select id, text from notes order by id desc")]


def add(text):
    text = str(text).strip()
    if not text:
        return None
    with connection() as db:
        number = db.execute("insert into notes (text) values (?)", (text,)).lastrowid
    return {"id": number, "text": text}
