/** The audit trail: a list to filter, newest first. */
import { begin } from "./admin.js";
import { listOf } from "./admin-list.js";
import { $, element } from "./session.js";
import { ALL_EVENTS, deviceName, sentenceOf, showTime } from "./words.js";

/** @param {number | null} id */
const account = (id) => (id === null ? [] : [element("a", { href: `/admin/users/${id}/` }, `#${id}`)]);

/** @param {any} event */
function cells(event) {
  const { sentence, alarming } = sentenceOf(event.event);
  const text = element(alarming ? "strong" : "span", { className: alarming ? "alarming" : "" }, sentence);
  const reason = event.reason ? [element("span", { className: "about" }, element("bdi", {}, event.reason))] : [];
  const device = event.user_agent ? [element("span", { className: "about" }, deviceName(event.user_agent))] : [];
  return [
    [text, ...reason],
    [showTime(element("time"), event.at, { dateStyle: "medium", timeStyle: "medium" })],
    account(event.user_id),
    account(event.actor_id),
    [event.ip ?? "", ...device, details(event)],
  ];
}

/** @param {any} event */
function details(event) {
  const rows = [["event", event.event], ["session", event.session], ["request", event.request_id],
    ["user agent", event.user_agent]].filter(([, value]) => value);
  const list = element("dl", { className: "facts" });
  for (const [name, value] of rows) list.append(element("dt", {}, name), element("dd", {}, element("bdi", {}, value)));
  const summary = element("summary", {}, "Details");
  return element("details", {}, summary, list);
}

const options = ALL_EVENTS.map(([value, sentence]) => element("option", { value }, sentence));
$("event").append(...options.sort((a, b) => a.text.localeCompare(b.text)));

const load = listOf({
  path: "/api/admin/events/",
  cells,
  title: (count, isAll) =>
    !count ? "No event found" : count === 1 ? "1 event" : isAll ? `${count} events` : `${count} events on this page`,
});

begin(() => load());
