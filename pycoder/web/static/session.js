/** The client of these pages, and the calls that they make with it. */
import { AuthError, createAuthClient } from "./client/auth-client.js";

const transport = document.documentElement.dataset.transport === "body" ? "body" : "cookie";
export const client = createAuthClient({ transport });

/**
 * Call the API as who is signed in. Throws an AuthError for every refusal.
 *
 * @param {string} method @param {string} path @param {object} [fields] @returns {Promise<any>}
 */
export async function call(method, path, fields) {
  const body = fields && JSON.stringify(fields);
  const headers = new Headers(body ? { "Content-Type": "application/json" } : {});
  const response = await client.fetch(path, { method, headers, body });
  if (!response.ok) throw await AuthError.from(response);
  return [202, 204].includes(response.status) ? null : response.json();
}

/** @returns {string | null} the token of the link that opened this page */
export function tokenOfLink() {
  return new URLSearchParams(location.hash.slice(1)).get("token");
}

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag @param {object} [properties] @param {(Node | string)[]} children
 */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** @param {string} id @returns {any} */
export const $ = (id) => document.getElementById(id);
