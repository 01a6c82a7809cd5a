"use strict";
// A title that comes at once where somebody points, in place of the one that takes its time.
(function () {
  var tip = document.createElement("div");
  tip.className = "tip";
  tip.setAttribute("role", "status");
  document.body.appendChild(tip);
  function titled(node) {
    while (node !== null) {
      if (node.nodeType === 1) {
        for (var child = node.firstElementChild; child !== null; child = child.nextElementSibling) {
          if (child.localName === "title") { return child; }
        }
        if (node.localName === "svg") { return null; }
      }
      node = node.parentNode;
    }
    return null;
  }
  document.querySelectorAll("main svg").forEach(function (svg) {
    svg.addEventListener("pointermove", function (event) {
      var title = titled(event.target);
      if (title === null) { tip.style.display = "none"; return; }
      if (title.textContent !== "") {
        title.setAttribute("data-text", title.textContent);
        title.textContent = "";
      }
      tip.textContent = title.getAttribute("data-text");
      tip.style.display = "block";
      var room = document.documentElement.clientWidth - tip.offsetWidth - 8;
      tip.style.left = Math.max(8, Math.min(event.clientX + 14, room)) + "px";
      tip.style.top = event.clientY + 16 + "px";
    });
    svg.addEventListener("pointerleave", function () { tip.style.display = "none"; });
  });
})();
// Tables are sorted by the column whose head is pressed, and the other way round if pressed again.
document.querySelectorAll("main table").forEach(function (table) {
  Array.prototype.forEach.call(table.tHead.rows[0].cells, function (head, place) {
    var button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    while (head.firstChild !== null) { button.appendChild(head.firstChild); }
    head.appendChild(button);
    button.addEventListener("click", function () {
      var down = head.getAttribute("aria-sort") !== "descending";
      Array.prototype.forEach.call(table.tHead.rows[0].cells, function (it) { it.removeAttribute("aria-sort"); });
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      var key = function (row) {
        var cell = row.cells[place];
        return cell.hasAttribute("data-order") ? Number(cell.getAttribute("data-order")) : cell.textContent;
      };
      var rows = Array.prototype.slice.call(table.tBodies[0].rows);
      rows.sort(function (a, b) {
        var x = key(a), y = key(b);
        var order = typeof x === "number" ? x - y : x.localeCompare(y);
        return down ? -order : order;
      });
      rows.forEach(function (row) { table.tBodies[0].appendChild(row); });
    });
  });
});
// The command to run it again goes to the clipboard.
document.querySelectorAll("button.copy").forEach(function (button) {
  button.hidden = false;
  button.addEventListener("click", function () {
    var code = button.parentNode.querySelector("code");
    var done = function () { button.textContent = "Copied"; };
    if (navigator.clipboard) { navigator.clipboard.writeText(code.textContent).then(done); return; }
    var range = document.createRange();
    range.selectNodeContents(code);
    window.getSelection().removeAllRanges();
    window.getSelection().addRange(range);
    document.execCommand("copy");
    done();
  });
});
