/** Recovery codes: they are shown once, to be copied, printed or downloaded. */
import { element } from "./session.js";

/**
 * Show recovery codes in a dialog or a section. Resolves when the user has saved them.
 *
 * @param {any} root @param {string[]} codes
 */
export function showCodes(root, codes) {
  const part = (/** @type {string} */ name) => root.querySelector(`[data-codes=${name}]`);
  const text = `Recovery codes for ${location.host}\n\n${codes.join("\n")}\n`;
  const act = /** @type {Record<string, () => string | Promise<string>>} */ ({
    copy: () => navigator.clipboard.writeText(text).then(
      () => "The codes are copied.",
      () => "The browser does not allow copying. Select the codes and copy them yourself.",
    ),
    print: () => (print(), ""),
    download: () => (download(text), "The file is on its way to your downloads."),
  });
  root.querySelector(".codes").replaceChildren(...codes.map((code) => element("li", {}, element("code", {}, code))));
  part("status").textContent = "";
  for (const [name, run] of Object.entries(act)) {
    part(name).disabled = false;
    part(name).onclick = async () => (part("status").textContent = await run());
  }
  part("done").disabled = false;
  root.showModal?.();
  root.oncancel = (/** @type {Event} */ event) => event.preventDefault(); // Escape would lose the codes
  root.querySelector("h2").focus();
  return new Promise((resolve) => {
    part("done").onclick = () => (root.close?.(), resolve(undefined));
    root.onclose = resolve;
  }).then(() => root.querySelector(".codes").replaceChildren());
}

/** @param {string} text */
function download(text) {
  const href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  element("a", { href, download: "recovery-codes.txt" }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60_000);
}

/**
 * Show the QR code and the key of an authenticator app that is being set up.
 *
 * @param {HTMLElement} root @param {{ secret: string, otpauth_uri: string, qr_svg: string }} setup
 */
export function showSetup(root, { secret, otpauth_uri, qr_svg }) {
  const part = (/** @type {string} */ selector) => /** @type {any} */ (root.querySelector(selector));
  part(".qr-code").src = `data:image/svg+xml,${encodeURIComponent(qr_svg)}`;
  part(".otpauth").href = otpauth_uri;
  part(".key").textContent = secret.match(/.{1,4}/g)?.join(" ");
}
