// The order of what is found, and a line of its text under each: a part of Sphinx's language_data.js.
//
// `pageTexts` is the prose of each page, by its name, which _ext/searching.py writes.

const asked = (new URLSearchParams(location.search).get("q") ?? "").trim().toLowerCase();

function timesIn(text, words) {
  return words ? text.toLowerCase().split(words).length - 1 : 0;
}

// Chapters before the pages on their use, and those before modules; of one kind, who speaks of it most.
var Scorer = {
  score([name, , , , score]) {
    const kind = /^_/.test(name) ? 0 : /^(reference|tasks)\//.test(name) ? 1 : 2;
    return 10000 * kind + 20 * Math.min(timesIn(pageTexts[name] ?? "", asked), 400) + score;
  },
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};

// Show where the words stand, the whole of what was asked or its first word; name no page twice.
function explain(item) {
  const [name, anchor] = item.querySelector("a").getAttribute("href").split(/\.html(?:\?[^#]*)?#?/);
  const place = `${name}#${/^module-|^$/.test(anchor) ? "" : anchor}`;
  if ([...item.parentElement.children].some((other) => other !== item && other.dataset.place === place)) {
    item.remove();
    return;
  }
  item.dataset.place = place;
  const text = pageTexts[name] ?? "";
  const words = [asked, ...asked.split(/\s+/)].find((some) => timesIn(text, some));
  if (!words) return;
  const at = text.toLowerCase().indexOf(words);
  const from = Math.max(0, text.lastIndexOf(" ", Math.max(0, at - 70)));
  const to = at + words.length;
  const line = document.createElement("p");
  line.className = "context";
  const strong = document.createElement("strong");
  strong.textContent = text.slice(at, to);
  line.append(from ? "… " : "", text.slice(from, at), strong, `${text.slice(to, to + 130).replace(/\s\S*$/, "")} …`);
  item.append(line);
}

new MutationObserver((changes) => {
  for (const { addedNodes } of changes) {
    for (const node of addedNodes) if (node.nodeName === "LI" && node.matches("#search-results li")) explain(node);
  }
}).observe(document, { childList: true, subtree: true });
