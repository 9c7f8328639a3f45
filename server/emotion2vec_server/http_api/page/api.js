// The server's HTTP and WebSocket API.

import { Parts } from "./parts.js";
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
const SHORT = 2 ** 20; // bytes; what is longer is answered in parts
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
    return (await this._json(await this._fetch("v1/models", {}))).models ?? [];
  }

  /**
   * RecognizeResponse for the bytes of `file`. `config` has RecognitionConfig's fields; `progress` is
   * called with the seconds that have been recognised, where there is time to.
   */
  async recognize(file, config, signal, progress) {
    if (file.size <= SHORT) {
      return this._json(await this._recognize(file, config, signal, "application/json"));
    }
    const response = await this._recognize(file, config, signal, "application/x-ndjson");
    const parts = new Parts();
    for await (const { part, result, error } of linesOf(response)) {
      if (error) throw new ApiError(error.status, error.detail, error.retry_after_seconds ?? null);
      if (result) return parts.join(result);
      parts.add(part);
      progress(seconds(part.segment?.end_offset));
    }
    throw new ApiError(0, "");
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
    return new WebSocket(url, [SUBPROTOCOL, ...(token ? [TOKEN_PREFIX + base64url(token)] : [])]);
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

/** The values of a reply with one a line. */
async function* linesOf(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      const lines = (rest + read.value).split("\n");
      rest = lines.pop();
      for (const line of lines) yield JSON.parse(line);
    }
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "");
  }
}

/** An error from problem+json, or from whatever a proxy in between says. */
async function errorOf(response) {
  const problem = await response.json().catch(() => ({}));
  const after = Number(response.headers.get("Retry-After"));
  const retryAfter = RETRYABLE.has(response.status) ? Math.max(after || 0, 1) : null;
  return new ApiError(response.status, problem.detail ?? problem.title ?? "", retryAfter);
}
