// The same request for a shell.

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** `curl` for a request, and the file that it sends when the body is too long or no text. */
function curlOf({ path, headers, body, file }) {
  const lines = [`curl ${quoted(location.origin + path)}`];
  for (const [name, value] of Object.entries(headers)) lines.push(`-H ${quoted(`${name}: ${value}`)}`);
  let saved = null;
  if (file) lines.push(`--data-binary ${quoted(`@${file}`)}`);
  else if (typeof body === "string" && body.length <= 1500) lines.push(`--data-raw ${quoted(body)}`);
  else {
    saved = typeof body === "string" ? "request.json" : "request.bin";
    lines.push(`--data-binary @${saved}`);
  }
  return { text: lines.join(" \\\n  "), saved };
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch { // no permission, or a page that came over plain HTTP from another machine
    const area = make("textarea", { value: text });
    const before = document.activeElement;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    before?.focus();
    return done;
  }
}
