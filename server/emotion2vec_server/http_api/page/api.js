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

const SUBPROTOCOL = "emotion2vec.v1", TOKEN_PREFIX = "base64url.bearer.authorization.";
const RETRYABLE = new Set([429, 503]);

/** A text as Base64 that may stand in a header, without padding. */
function base64url(text) {
  const bytes = String.fromCharCode(...new TextEncoder().encode(text));
  return btoa(bytes).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** Relative to the page, so that it works behind a proxy's path too. */
const address = (path) => new URL(path, document.baseURI);

export class Api {
  /** `token()` gives the bearer token, or "". */
  constructor(token) {
    this._token = token;
  }

  /** All models that the server has, as ListModels has them. */
  async models() {
    const reply = await this._send("GET", "v1/models", { headers: {} });
    return JSON.parse(await reply.text()).models ?? [];
  }

  /**
   * RecognizeResponse for the bytes of `file`. `config` has RecognitionConfig's fields; `progress` is
   * called with the share that has been sent. The server reads a long recording no faster than it
   * recognises it, so that is about the share that has been recognised.
   */
  async recognize(file, config, signal, progress) {
    const reply = await this._recognize(file, config, "application/json", signal, progress);
    return JSON.parse(await reply.text());
  }

  /** The result folder as a zip. */
  archive(file, config) {
    return this._recognize(file, config, "application/zip");
  }

  /** A WebSocket to the stream, not yet open. */
  stream() {
    const url = address("v1/stream");
    url.protocol = url.protocol.replace("http", "ws");
    const token = this._token();
    // A browser can't set headers on a WebSocket, and a token in an address ends up in logs.
    return new WebSocket(url, [SUBPROTOCOL, ...(token ? [TOKEN_PREFIX + base64url(token)] : [])]);
  }

  _recognize(file, config, accept, signal, progress) {
    // Without a type the server looks at the first bytes, which know better than a file's name.
    const headers = { Accept: accept, "Content-Type": "application/octet-stream" };
    const path = `v1/recognize?${new URLSearchParams(config)}`;
    return this._send("POST", path, { headers, body: file, signal, progress });
  }

  /** The body of the answer. By XMLHttpRequest, since fetch does not tell how much has been sent. */
  _send(method, path, { headers, body = null, signal = null, progress = null }) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open(method, address(path));
      request.responseType = "blob";
      if (this._token()) request.setRequestHeader("Authorization", `Bearer ${this._token()}`);
      for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
      request.addEventListener("load", () => {
        if (request.status < 300) resolve(request.response);
        else errorOf(request).then(reject);
      });
      request.addEventListener("error", () => reject(new ApiError(0, "")));
      request.addEventListener("abort", () => reject(signal.reason));
      if (progress) request.upload.addEventListener("progress", ({ loaded, total }) => progress(loaded / total));
      signal?.addEventListener("abort", () => request.abort());
      request.send(body);
    });
  }
}

/** An error from problem+json, or from whatever a proxy in between says. */
async function errorOf(request) {
  const problem = await request.response.text().then(JSON.parse).catch(() => ({}));
  const after = Number(request.getResponseHeader("Retry-After"));
  const retryAfter = RETRYABLE.has(request.status) ? Math.max(after || 0, 1) : null;
  return new ApiError(request.status, problem.detail ?? problem.title ?? "", retryAfter);
}
