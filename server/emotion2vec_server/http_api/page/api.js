// The server's HTTP and WebSocket API.

/** What went wrong, as far as anybody can tell. `status` is HTTP's, 0 where there was no answer. */
export class ApiError extends Error {
  constructor(status, detail, retryAfter = null) {
    super(detail);
    this.status = status;
    /** Seconds after which trying again makes sense; null where it doesn't. */
    this.retryAfter = retryAfter;
  }
}

const RETRYABLE = new Set([429, 503]);

/** Relative to the page, so that it works behind a proxy's path too. */
const address = (path) => new URL(path, document.baseURI);

export class Api {
  /** `token()` gives the bearer token, or "". */
  constructor(token) {
    this._token = token;
  }

  /** All models that the server has, as ListModels has them. */
  async models() {
    return (await this._json(await this._fetch("v1/models", {}))).models ?? [];
  }

  /** RecognizeResponse for the bytes of `file`. `config` has RecognitionConfig's fields. */
  async recognize(file, config, signal) {
    return this._json(await this._recognize(file, config, signal, "application/json"));
  }

  /** The result folder as a zip. */
  async archive(file, config, signal) {
    return (await this._recognize(file, config, signal, "application/zip")).blob();
  }

  /** A WebSocket to the stream, not yet open. */
  stream() {
    const url = address("v1/stream");
    url.protocol = url.protocol.replace("http", "ws");
    const token = this._token();
    // A browser can't set headers on a WebSocket, and a token in an address ends up in logs.
    return new WebSocket(url, token ? ["emotion2vec.v1", `bearer.${token}`] : ["emotion2vec.v1"]);
  }

  _recognize(file, config, signal, accept) {
    const query = new URLSearchParams(config);
    // Without a type the server looks at the first bytes, which know better than a file's name.
    const headers = { Accept: accept, "Content-Type": "application/octet-stream" };
    return this._fetch(`v1/recognize?${query}`, { method: "POST", body: file, headers, signal });
  }

  async _fetch(path, options) {
    const headers = { ...options.headers };
    if (this._token()) headers.Authorization = `Bearer ${this._token()}`;
    let response;
    try {
      response = await fetch(address(path), { ...options, headers });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ApiError(0, "");
    }
    if (!response.ok) throw await errorOf(response);
    return response;
  }

  async _json(response) {
    try {
      return await response.json();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ApiError(0, "");
    }
  }
}

/** An error from problem+json, or from whatever a proxy in between says. */
async function errorOf(response) {
  const problem = await response.json().catch(() => ({}));
  const after = Number(response.headers.get("Retry-After"));
  const retryAfter = RETRYABLE.has(response.status) ? Math.max(after || 0, 1) : null;
  return new ApiError(response.status, problem.detail ?? problem.title ?? "", retryAfter);
}
