// The server's HTTP and WebSocket API.

import { seconds } from "./reply.js";

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
const SEQUENCE = "application/json-seq", SEPARATOR = "\x1e";
const SHORT = 2 ** 20; // bytes; who sends less need not be told how far it is

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
    return JSON.parse(reply).models ?? [];
  }

  /**
   * RecognizeResponse for the bytes of `file`. `config` has RecognitionConfig's fields; `progress` is
   * called with {sent}, the share that has been sent, and then with {heard}, the seconds that have
   * been recognised: a browser reads nothing of an answer before all is sent. The server reads no
   * faster than it recognises, so both tell how far it is.
   */
  async recognize(file, config, signal, progress) {
    const onText = (text) => {
      const heard = lastProgress(text);
      if (heard !== null) progress({ heard });
    };
    const onSent = (sent) => progress({ sent });
    const kind = file.size > SHORT ? SEQUENCE : "application/json";
    const text = await this._recognize(file, config, kind, { responseType: "text", signal, onSent, onText });
    if (kind !== SEQUENCE) return JSON.parse(text);
    const { response, error } = JSON.parse(text.slice(text.lastIndexOf(SEPARATOR) + 1));
    if (error) throw apiError(error.status, error, error.retry_after_seconds);
    return response;
  }

  /** The result folder as a zip. */
  archive(file, config) {
    return this._recognize(file, config, "application/zip", { responseType: "blob" });
  }

  /** A WebSocket to the stream, not yet open. */
  stream() {
    const url = address("v1/stream");
    url.protocol = url.protocol.replace("http", "ws");
    const token = this._token();
    // A browser can't set headers on a WebSocket, and a token in an address ends up in logs.
    return new WebSocket(url, [SUBPROTOCOL, ...(token ? [TOKEN_PREFIX + base64url(token)] : [])]);
  }

  _recognize(file, config, accept, options) {
    // Without a type the server looks at the first bytes, which know better than a file's name.
    const headers = { Accept: accept, "Content-Type": "application/octet-stream" };
    const path = `v1/recognize?${new URLSearchParams(config)}`;
    return this._send("POST", path, { headers, body: file, ...options });
  }

  /**
   * The body of the answer. By XMLHttpRequest, since fetch does not tell how much has been sent.
   * `onSent` is called with that share, `onText` with what has come of a text.
   */
  _send(method, path, { headers, body = null, responseType = "text", signal = null, onSent = null, onText = null }) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open(method, address(path));
      request.responseType = responseType;
      if (this._token()) request.setRequestHeader("Authorization", `Bearer ${this._token()}`);
      for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
      request.addEventListener("load", () => {
        if (request.status < 300) resolve(request.response);
        else errorOf(request).then(reject);
      });
      request.addEventListener("error", () => reject(new ApiError(0, "")));
      request.addEventListener("abort", () => reject(signal.reason));
      if (onSent) request.upload.addEventListener("progress", ({ loaded, total }) => onSent(loaded / total));
      if (onText) request.addEventListener("progress", ({ loaded }) => loaded < SHORT && onText(request.response));
      signal?.addEventListener("abort", () => request.abort());
      request.send(body);
    });
  }
}

/** The seconds of the last whole step of progress in a sequence; null before the first. */
function lastProgress(text) {
  const steps = text.split(SEPARATOR).filter((step) => step.endsWith("\n"));
  const { progress } = steps.length ? JSON.parse(steps.at(-1)) : {};
  return progress ? seconds(progress.end_offset) : null;
}

/** An error from problem+json, or from whatever a proxy in between says. */
async function errorOf(request) {
  const problem = await new Response(request.response).json().catch(() => ({}));
  return apiError(request.status, problem, Number(request.getResponseHeader("Retry-After")));
}

function apiError(status, problem, after) {
  const retryAfter = RETRYABLE.has(status) ? Math.max(after || 0, 1) : null;
  return new ApiError(status, problem.detail ?? problem.title ?? "", retryAfter);
}
