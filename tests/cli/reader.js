// What a reader does: sorts the runs by a column, both ways, and filters them; then the page is what was seen.
{
  const rows = () => [...document.querySelector("#runs").tBodies[0].rows].filter((row) => !row.hidden);
  const seen = () => rows().map((row) => row.cells[3].textContent).join(" ");
  const column = [...document.querySelector("#runs").tHead.rows[0].cells].find((cell) => cell.textContent === "simulate.steps");
  const found = [];
  column.querySelector("button").click();
  found.push(seen());
  column.querySelector("button").click();
  found.push(seen());
  const field = document.querySelector("#filter");
  field.value = "steps=5";
  field.dispatchEvent(new Event("input"));
  found.push(seen());
  found.push(document.querySelectorAll("figure svg").length > 0);
  const wide = document.documentElement.scrollWidth <= document.documentElement.clientWidth;
  document.body.innerHTML = "<p>" + found.join("|") + "|" + wide + "</p>";
}
