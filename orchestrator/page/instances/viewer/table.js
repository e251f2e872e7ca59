// The table: DataTables sorts it; search and filters are fields of ours above it.

const tableElement = document.getElementById("instances-table");
const bar = document.getElementById("instances-bar");
const PAGE_ROWS = 50;

const table = new DataTable(tableElement, {
  order: [],
  autoWidth: false,
  pageLength: PAGE_ROWS,
  layout: {topStart: null, topEnd: null, bottomStart: "info", bottomEnd: "paging"},
  language: {
    info: "_START_ to _END_ of _TOTAL_ instances",
    infoEmpty: "No instance fits",
    infoFiltered: "(of _MAX_)",
    zeroRecords: "No instance fits what is searched for.",
  },
});

const rowOf = (instance) =>
  table.rows().nodes().toArray().find((row) => instanceOf(row) === instance);

function instancesInOrder() {
  return table.rows({order: "applied", search: "applied"}).nodes().toArray()
    .map(instanceOf);
}

function followBar() {
  bar.hidden = false;
  bar.querySelector("input").addEventListener("input", (event) => table.search(event.target.value).draw());
  for (const select of bar.querySelectorAll("select[data-column]")) {
    select.addEventListener("change", () => {
      // as text, and whole: no value is taken for a pattern
      const wanted = select.value;
      table.column(Number(select.dataset.column))
        .search.fixed("filter", wanted ? (_, data, index) => valueOf(index, select) === wanted : null).draw();
    });
  }
  bar.querySelector("#instances-sort").addEventListener("change", (event) => {
    const [column, direction] = event.target.value.split(" ");
    table.order(column ? [[Number(column), direction]] : []).draw();
  });
}

function valueOf(index, select) {
  return table.cell(index, Number(select.dataset.column)).node().dataset.value;
}

followBar();
// paper has no second page of a table
addEventListener("beforeprint", () => table.page.len(-1).draw());
addEventListener("afterprint", () => table.page.len(PAGE_ROWS).draw());
followAddress();
