/** A list in parts, whose filters stand in the address of the page: Back returns to the part before. */
import { onClick } from "./actions.js";
import { present } from "./admin.js";
import { onSubmit, showError } from "./forms.js";
import { $, call, element } from "./session.js";

/**
 * Return a function that loads the part that the address names.
 *
 * @param {object} list
 * @param {string} list.path of the API call
 * @param {(item: any) => (Node | string)[][]} list.cells the contents of a row
 * @param {(count: number, isAll: boolean) => string} list.title
 */
export function listOf({ path, cells, title }) {
  const form = /** @type {HTMLFormElement} */ (document.querySelector(".filters"));
  const table = /** @type {HTMLTableElement} */ (document.querySelector("table"));
  const labels = [...(table.tHead?.rows[0].cells ?? [])].map((cell) => cell.textContent ?? "");
  let next = /** @type {number | null} */ (null);
  let latest = 0; // the number of the latest call, whose answer counts

  /** @param {any} item */
  function row(item) {
    const made = cells(item).map((parts, at) => {
      const cell = element("td", { role: "cell" }, ...(parts.length ? [element("div", {}, ...parts)] : []));
      cell.dataset.label = labels[at];
      return cell;
    });
    return element("tr", { role: "row" }, ...made);
  }

  function show(/** @type {any[]} */ items, isFirst = true) {
    const [isLast, isAll] = [next === null, isFirst && next === null];
    $("list-title").textContent = title(items.length, isAll);
    table.hidden = !items.length;
    table.tBodies[0].replaceChildren(...items.map(row));
    [$("first").hidden, $("next").hidden, $("pager").hidden] = [isFirst, isLast, isAll];
  }

  async function load() {
    const filters = new URLSearchParams([...new URLSearchParams(location.search)].filter(
      ([filter]) => filter === "after" || form.elements.namedItem(filter)));
    for (const input of /** @type {any} */ (form.elements)) {
      if (input.name) input.value = filters.get(input.name) ?? "";
    }
    const turn = ++latest;
    table.ariaBusy = "true";
    try {
      const part = await call("GET", `${path}?${filters}`);
      if (turn !== latest) return;
      next = part.next;
      show(part.items, !filters.has("after"));
    } catch (error) {
      if (turn !== latest) return;
      if (/** @type {any} */ (error).code !== "validation_error") throw error;
      next = null;
      show([]);
      $("list-title").textContent = "Please correct the filters";
      showError(form, error);
    } finally {
      if (turn === latest) table.ariaBusy = "false";
    }
  }

  /** @param {Record<string, any>} changes to the filters; an empty one is dropped */
  function go(changes) {
    const filters = new URLSearchParams(location.search);
    filters.delete("after");
    for (const [name, value] of Object.entries(changes)) {
      if (value) filters.set(name, value);
      else filters.delete(name);
    }
    history.pushState(null, "", `${location.pathname}${filters.size ? `?${filters}` : ""}`);
    return present(load);
  }

  async function turnTo(/** @type {Record<string, any>} */ changes) {
    await go(changes);
    $("list-title").focus();
    $("list-title").scrollIntoView({ block: "center" });
  }

  onSubmit(form, (fields) => go(Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, String(value).trim()]))));
  onClick($("next"), () => turnTo({ after: next }));
  onClick($("first"), () => turnTo({}));
  addEventListener("popstate", () => present(load));
  return load;
}
