// Small tools of all parts of the page.
//
// Nothing from the network becomes HTML: every piece of it goes in as text.

export const $ = (selector, root = document) => root.querySelector(selector);

export function el(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

// Writing the same words again would make a screen reader repeat them.
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function parse(data) {
  try {
    return JSON.parse(data) ?? {};
  } catch {
    return {};
  }
}
