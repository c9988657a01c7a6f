/**
 * Signs people in with a PyCoder server and keeps them signed in: across tabs, reloads, lost
 * answers, a server that is away, and a clock that is wrong. docs/frontend.md shows its use.
 *
 * @typedef {{ access?: string, refresh?: string, expires_in?: number, csrf_token?: string }} Tokens
 * @typedef {{ id: number, email: string, email_verified: boolean, username: string,
 *   first_name: string, last_name: string, date_joined: string }} User
 * @typedef {{ email?: string, username?: string, password: string }} Credentials
 * @typedef {{ email: string, password: string, password2?: string, username?: string,
 *   first_name?: string, last_name?: string }} Profile
 * @typedef {Pick<Storage, "getItem" | "setItem" | "removeItem">} TokenStorage
 * @typedef {{ signedIn: boolean, ended: string | null }} State and why it ended: "logout" or a code
 * @typedef {ReturnType<typeof createAuthClient>} AuthClient
 */
export type Tokens = {
    access?: string;
    refresh?: string;
    expires_in?: number;
    csrf_token?: string;
};
export type User = {
    id: number;
    email: string;
    email_verified: boolean;
    username: string;
    first_name: string;
    last_name: string;
    date_joined: string;
};
export type Credentials = {
    email?: string;
    username?: string;
    password: string;
};
export type Profile = {
    email: string;
    password: string;
    password2?: string;
    username?: string;
    first_name?: string;
    last_name?: string;
};
export type TokenStorage = Pick<Storage, "getItem" | "setItem" | "removeItem">;
export type State = {
    signedIn: boolean;
    ended: string | null;
};
export type AuthClient = ReturnType<typeof createAuthClient>;
/** A refusal or fault: `code` is stable, `message` is a sentence that a page can show. */
export declare class AuthError extends Error {
    status: number;
    code: string;
    errors: Record<string, string[]>;
    retryAfter: number;
    passes: boolean;
    /** @param {number} status @param {any} problem RFC 9457 @param {Headers} [headers] */
    constructor(status: number, problem: any, headers?: Headers);
    /** @param {Response} response a refusal */
    static from(response: Response): Promise<AuthError>;
}
/** @returns {TokenStorage} a storage that ends with the page */
export declare function memoryStorage(): TokenStorage;
/**
 * @param {object} [options]
 * @param {string} [options.baseURL] where the server is; by default, where the page comes from
 * @param {TokenStorage} [options.storage] localStorage (default), sessionStorage, memoryStorage()
 * @param {"body" | "cookie"} [options.transport] cookie: tokens that no script can read
 * @param {string[]} [options.origins] of other services that are to get the access token
 * @param {typeof globalThis.fetch} [options.fetch]
 */
export declare function createAuthClient({ baseURL, storage, // it may be forbidden
transport, origins, fetch, }?: {
    baseURL?: string;
    storage?: TokenStorage;
    transport?: "body" | "cookie";
    origins?: string[];
    fetch?: typeof globalThis.fetch;
}): {
    /** @param {Profile} profile @returns {Promise<User>} */
    register: (profile: Profile) => Promise<User>;
    /** @param {Credentials} credentials @returns {Promise<User>} */
    login: (credentials: Credentials) => Promise<User>;
    refresh: (stale?: string) => Promise<string>;
    fetch: (input: string | URL | Request, init?: RequestInit) => Promise<Response>;
    /** @param {string} [url] where to @returns what a request has to carry, in the words of axios */
    authorize(url?: string): Promise<{
        token: string | null;
        headers: Record<string, string>;
        withCredentials?: boolean | undefined;
    }>;
    getAccessToken: (url?: string) => Promise<string | null>;
    state: () => State;
    /** @returns {Promise<User | null>} who is signed in, if anybody is */
    getUser(): Promise<User | null>;
    /** @param {{ current_password: string, new_password: string }} fields */
    changePassword(fields: {
        current_password: string;
        new_password: string;
    }): Promise<void>;
    /** Sign out in all tabs; rejects if the server could not be told that the session is over. */
    logout(): Promise<void>;
    /** @param {(state: State) => void} listener hears of sign-ins and sign-outs, in all tabs */
    onChange(listener: (state: State) => void): () => undefined;
};
/** @param {any} instance @param {AuthClient} client */
export declare function attachToAxios(instance: any, client: AuthClient): void;
