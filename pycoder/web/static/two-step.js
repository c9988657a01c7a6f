/** The sections of the account page for the second factors: authenticator app, codes, passkeys. */
import { onClick, status } from "./actions.js";
import { onSubmit } from "./forms.js";
import { forgetProof, methodsOf, noteMethods, withProof } from "./reauthenticate.js";
import { showCodes, showSetup } from "./recovery-codes.js";
import { $, call, element, passkeys } from "./session.js";
import { deviceName, showTime } from "./words.js";

const OTHERS = "Your other devices will be signed out.";
const FEW_CODES = 3;

/** Update the lists of the page, and report what was done. */
let report = async (/** @type {string} */ _sentence, /** @type {string} */ _headingId) => {};

/** @param {boolean} verified whether the account's address is confirmed */
export async function showFactors(verified) {
  const factors = await call("GET", "/api/factors/");
  const { totp, recovery_codes_left: left, passkeys: list } = factors;
  const isOn = Boolean(totp || list.length);
  noteMethods(methodsOf(factors));
  $("two-step-state").textContent = isOn ? "on" : "off";
  $("two-step-state").className = isOn ? "badge good" : "badge";
  $("unconfirmed").hidden = verified;
  for (const id of ["set-up", "add-passkey"]) $(id).disabled = !verified;
  $("app-state").replaceChildren(...(totp ? appState(totp) : ["Codes from an app on your phone."]));
  $("set-up").textContent = totp ? "Replace" : "Set up";
  $("remove-app").hidden = !totp;
  $("codes-row").hidden = $("remembered-row").hidden = !isOn;
  $("codes-left").textContent = left === 1 ? "1 code left" : `${left} codes left`;
  $("codes-left").classList.toggle("alarming", left < FEW_CODES);
  $("passkey-list").replaceChildren(...list.map(passkeyRow));
  $("no-passkeys").hidden = passkeys.isSupported();
  $("add-passkey").hidden = !passkeys.isSupported();
}

/** @param {any} totp */
function appState(totp) {
  const used = totp.last_used_at ? [" · last used ", showTime(element("time"), totp.last_used_at)] : [];
  return ["Set up ", showTime(element("time"), totp.confirmed_at, { dateStyle: "medium" }), ...used];
}

/** @param {any} passkey */
function passkeyRow(passkey) {
  const used = passkey.last_used_at ? ["last used ", showTime(element("time"), passkey.last_used_at)] : ["not used yet"];
  const about = element("span", { className: "about" },
    "added ", showTime(element("time"), passkey.created_at, { dateStyle: "medium" }), " · ", ...used);
  const kind = element("span", { className: "badge" }, passkey.synced ? "synced" : "on one device");
  const button = (/** @type {string} */ label, danger = "") => {
    const made = element("button", { type: "button", className: `quiet ${danger}` }, label);
    made.setAttribute("aria-label", `${label} the passkey ${passkey.name}`);
    return made;
  };
  const [rename, remove] = [button("Rename"), button("Remove", "danger")];
  onClick(rename, async () => openRename(passkey));
  onClick(remove, () => removePasskey(passkey));
  return element("li", {},
    element("div", {}, element("p", {}, element("strong", {}, passkey.name), " ", kind), about), rename, remove);
}

async function setUp() {
  const act = (/** @type {object} */ proof) => call("POST", "/api/factors/totp/", proof);
  const setup = await withProof(act, { purpose: "You are about to set up an authenticator app." });
  $("setup-dialog").querySelector("form").reset();
  showSetup($("setup-dialog"), setup);
  $("setup-dialog").showModal();
  $("setup-code").focus();
}

async function removeApp() {
  await withProof((proof) => call("DELETE", "/api/factors/totp/", proof), {
    purpose: `You are about to remove the authenticator app. ${OTHERS}`, always: true,
  });
  forgetProof();
  await report("The authenticator app is removed.", "two-step-title");
}

async function replaceCodes() {
  const { recovery_codes } = await withProof((proof) => call("POST", "/api/factors/recovery-codes/", proof), {
    purpose: "You are about to create new recovery codes. The codes from before stop working.", always: true,
  });
  await showCodes($("codes-dialog"), recovery_codes);
  await report("You have new recovery codes.", "two-step-title");
}

async function forgetDevices() {
  await call("DELETE", "/api/devices/");
  await report("Every device asks for the second step again.", "two-step-title");
}

async function addPasskey() {
  const name = deviceName(navigator.userAgent);
  const { recovery_codes } = await withProof((proof) => passkeys.register({ ...proof, name }), {
    purpose: "You are about to add a passkey.",
  });
  if (recovery_codes) {
    forgetProof();
    await showCodes($("codes-dialog"), recovery_codes);
  }
  await report("The passkey is added. From now on you can sign in with it.", "passkeys-title");
}

/** @param {any} passkey */
async function removePasskey({ id, name }) {
  await withProof((proof) => passkeys.remove(id, proof), {
    purpose: `You are about to remove the passkey “${name}”. ${OTHERS}`, always: true,
  });
  forgetProof();
  await report("The passkey is removed. Delete it in your password manager, too, if it is still offered.", "passkeys-title");
}

/** @param {any} passkey */
function openRename({ id, name }) {
  $("rename-dialog").dataset.id = id;
  $("passkey-name").value = name;
  $("rename-dialog").showModal();
  $("passkey-name").select();
}

/** @param {typeof report} onDone */
export function connectFactors(onDone) {
  report = onDone;
  onClick($("set-up"), setUp);
  onClick($("remove-app"), removeApp);
  onClick($("replace-codes"), replaceCodes);
  onClick($("forget-devices"), forgetDevices);
  onClick($("add-passkey"), addPasskey);
  onSubmit($("setup-dialog").querySelector("form"), async ({ code }) => {
    const { recovery_codes } = await call("POST", "/api/factors/totp/confirm/", { code });
    forgetProof();
    $("setup-dialog").close();
    showCodes($("codes-dialog"), recovery_codes)
      .then(() => report("Two-step sign-in is on. Your other devices are signed out.", "two-step-title"))
      .catch((error) => status(error.message));
  });
  onSubmit($("rename-dialog").querySelector("form"), async ({ name }) => {
    const act = (/** @type {object} */ proof) => passkeys.rename($("rename-dialog").dataset.id, { ...proof, name });
    await withProof(act, { purpose: "You are about to rename a passkey." });
    $("rename-dialog").close();
    await report("The passkey is renamed.", "passkeys-title");
  });
}
