// Clients of this kind of API as others write them, each re-created from its behaviour. Prints as
// JSON which are still signed in after ten rounds, in each of which the access token has expired.

import axios from "axios";
import { createAuthRefresh } from "axios-auth-refresh";

const server = process.env.SERVER;
const times = (count, call) => Promise.all(Array.from({ length: count }, call));

async function post(path, body) {
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch(server + path, { method: "POST", headers, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

const refresh = (token) => post("/api/token/refresh/", { refresh: token });

async function statusOfCall(access) {
  const headers = { Authorization: `Bearer ${access}` };
  return (await fetch(`${server}/api/user/`, { headers })).status;
}

async function callAgainAfter401(storage, renew) {
  const status = await statusOfCall(storage.access);
  if (status !== 401) return status;
  await renew();
  return statusOfCall(storage.access);
}

const renewAndStore = async (storage) => Object.assign(storage, await refresh(storage.refresh));

function axiosClient(storage) {
  const client = axios.create({ baseURL: server });
  client.interceptors.request.use((config) => {
    config.headers.Authorization = `Bearer ${storage.access}`;
    return config;
  });
  return client;
}

// Each kind gets what it has stored, and returns what one round of it does.
const kinds = {
  "keeps its first refresh token in memory": ({ refresh: first }) => async () => {
    const { access } = await refresh(first);
    return [await statusOfCall(access)];
  },

  "stores only the new access token": (storage) => {
    const client = axiosClient(storage);
    client.interceptors.response.use(null, async (error) => {
      if (error.response?.status !== 401) throw error;
      const { data } = await axios.post(`${server}/api/token/refresh/`, { refresh: storage.refresh });
      storage.access = data.access;
      return client(error.config);
    });
    return async () => [(await client.get("/api/user/")).status];
  },

  "refreshes before each call, three calls at once": (storage) => () =>
    times(3, async () => {
      await renewAndStore(storage);
      return statusOfCall(storage.access);
    }),

  "refreshes by a timer": (storage) => async () => {
    await renewAndStore(storage);
    return [await statusOfCall(storage.access)];
  },

  "refreshes at each load of a page that is reloaded at once": (storage) => async () => {
    await refresh(storage.refresh); // the page is gone before it can store the answer
    await renewAndStore(storage);
    return [await statusOfCall(storage.access)];
  },

  "lets calls wait for one refresh, and stores both tokens": (storage) => () => {
    let renewal = null;
    const renew = () => (renewal ??= renewAndStore(storage));
    return times(3, () => callAgainAfter401(storage, renew));
  },

  "the same in two tabs that expire together": (storage) => async () => {
    await times(2, () => statusOfCall(storage.access)); // both are answered 401
    await times(2, () => renewAndStore(storage));
    return times(2, () => statusOfCall(storage.access));
  },

  "refreshes in an effect that React's StrictMode runs twice": (storage) => async () => {
    const effect = () => renewAndStore(storage);
    await Promise.all([effect(), effect()]);
    return [await statusOfCall(storage.access)];
  },

  "axios-auth-refresh, and stores both tokens": (storage) => {
    const client = axiosClient(storage);
    createAuthRefresh(client, () => renewAndStore(storage));
    return async () => [(await client.get("/api/user/")).status];
  },

  "is killed before the answer of its refresh arrives": (storage) => async () => {
    await refresh(storage.refresh); // the answer is lost
    return [await callAgainAfter401(storage, () => renewAndStore(storage))];
  },

  "keeps a copy in each tab, one of which sleeps": (storage) => {
    const awake = { ...storage };
    return async () => {
      await renewAndStore(awake);
      await renewAndStore(awake);
      await renewAndStore(storage); // it wakes up
      return [await statusOfCall(storage.access)];
    };
  },
};

async function staysSignedIn(kind, number) {
  const email = `kind${number}@example.com`;
  const { tokens } = await post("/api/register/", { email, password: process.env.PASSWORD });
  const storage = { ...tokens };
  const round = kind(storage);
  try {
    for (let count = 0; count < 10; count += 1) {
      storage.access = "expired";
      if ((await round()).some((status) => status !== 200)) return false;
    }
    return true;
  } catch {
    return false;
  }
}

const results = Object.entries(kinds).map(async ([name, kind], number) => [
  name,
  await staysSignedIn(kind, number),
]);
console.log(JSON.stringify(Object.fromEntries(await Promise.all(results))));
