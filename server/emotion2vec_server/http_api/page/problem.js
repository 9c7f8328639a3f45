// What to tell a person whose recording failed.

import { currentLanguage, t } from "./i18n.js";
import { sentence } from "./notes.js";

const KINDS = {
  0: "network",
  400: "audio",
  401: "token",
  403: "token",
  408: "slow",
  413: "large",
  415: "audio",
  422: "audio",
  429: "busy",
  503: "busy",
  504: "slow",
};

/** {kind, title, text, detail}: `detail` are the server's own words. */
export function problemOf(error) {
  const status = error.status ?? 0;
  const kind = KINDS[status] ?? (status >= 500 ? "server" : "request");
  return {
    kind,
    title: t(`error.${kind}.title`),
    text: t(`error.${kind}`),
    detail: sentence(error.message),
    detailLanguage: currentLanguage() === "en" ? null : "en",
  };
}
