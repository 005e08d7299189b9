// Everything beyond the table library: filters, cards, gallery, light and dark theme.
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const one = (selector, within = document) => within.querySelector(selector);
const tables = new Map();
const narrow = matchMedia("(max-width: 46rem)");

const theme = {
  read() { try { return localStorage.getItem("loupe-theme"); } catch { return null; } },
  set(name) {
    document.documentElement.dataset.theme = name;
    try { localStorage.setItem("loupe-theme", name); } catch { /* without storage the choice is lost on reload */ }
  },
};
if (["light", "dark"].includes(theme.read())) theme.set(theme.read());
one("#theme").addEventListener("click", () => {
  const now = document.documentElement.dataset.theme
    || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  theme.set(now === "dark" ? "light" : "dark");
});

function getTable(view) {
  const element = one("table.board", view);
  if (tables.has(element)) return tables.get(element);
  const headings = all("thead th", element);
  const start = headings.findIndex((heading) => heading.dataset.name === element.dataset.sort);
  const table = new DataTable(element, {
    paging: false,
    autoWidth: false,
    layout: { topStart: null, topEnd: null, bottomStart: "info", bottomEnd: null },
    order: start < 0 ? [] : [[start, "asc"]],
    columns: headings.map(({ dataset }) => ({
      name: dataset.name,
      searchable: ["name", "group"].includes(dataset.name),
      orderSequence: dataset.better === "up" ? ["desc", "asc"] : ["asc", "desc"],
    })),
    language: { info: "_TOTAL_ rows", infoFiltered: "of _MAX_", infoEmpty: "no rows", zeroRecords: "No matching rows." },
  });
  table.search.fixed("kind", (_text, _data, index) => {
    const row = table.row(index).node();
    // A baseline without any of the visible scores is hidden.
    return shownKinds().has(row.dataset.kind) && (row.matches(".model") || one('td[class^="c"]', row) !== null);
  });
  const byRank = () => {
    const [[column, direction] = []] = table.order();
    const name = headings[column]?.dataset.name;
    element.classList.toggle("by-rank", name === "rank" && direction === "asc");
  };
  table.on("order", byRank);
  byRank();
  tables.set(element, table);
  return table;
}

const shownKinds = () => new Set(
  all(`fieldset[data-of="${one("#section").value}"] input:checked`).map((input) => input.value),
);

function currentView() {
  const section = one("#section").value;
  const method = one(`.method[data-of="${section}"] select`).value;
  return one(`#v${section}-${method}`);
}

function show() {
  const section = one("#section").value;
  for (const part of all("[data-of]")) part.hidden = part.dataset.of !== section;
  const view = currentView();
  for (const other of all(".view")) other.hidden = other !== view;
  const table = getTable(view);
  const part = one("#part").value;
  let visible = 0;
  table.columns().every(function every() {
    const { part: own, name } = this.header().dataset;
    const shown = !own || part === "all" || own === part || part === `=${name}`;
    this.visible(shown, false);
    visible += own && shown ? 1 : 0;
  });
  one(".scroll", view).classList.toggle("stacked", visible > 4);
  one(".scroll", view).classList.toggle("board-wide", visible > 5);
  table.search(one("#find").value).draw();
  const kinds = shownKinds();
  for (const picture of all(".wall[data-kind]")) picture.hidden = !kinds.has(picture.dataset.kind);
}

function open(name) {
  const card = document.getElementById(`card-${name}`);
  if (card) card.showModal();
}

function choose(gallery, image) {
  for (const button of all(".choose button", gallery)) button.setAttribute("aria-pressed", String(button.dataset.image === image));
  for (const walls of all("div[data-image]", gallery)) walls.hidden = walls.dataset.image !== image;
}

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-card]");
  const chooser = event.target.closest(".choose button");
  if (opener) {
    event.preventDefault();
    open(opener.dataset.card);
  } else if (chooser) {
    choose(chooser.closest(".gallery"), chooser.dataset.image);
  } else if (event.target instanceof HTMLDialogElement) {
    event.target.close(); // a click on the backdrop
  }
});
for (const control of all("#section, .method select, #part, fieldset input")) control.addEventListener("change", show);
one("#find").addEventListener("input", show);
const short = one("#part").dataset.narrow;
if (narrow.matches && one(`#part [value="${short}"]`)) one("#part").value = short;
show();
