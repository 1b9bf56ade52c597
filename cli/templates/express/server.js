const express = require("express");

const app = express();
app.use(express.json());

app.get("/", (request, response) => {
  response.json({ greeting: "Hello from Express!" });
});

app.post("/echo", (request, response) => {
  response.json(request.body);
});

app.listen(process.env.PORT ?? 3000);
