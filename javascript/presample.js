// Brings the tag chips into the panels of a WebUI. Hosts run this file as a classic script and leave folders
// beside it alone, so the modules, which ComfyUI has too, are imported from where this file came from.

(() => {
  const here = document.currentScript.src; // .../file=extensions/<any name>/javascript/presample.js?<time>
  const FILES = ["webui/panel.mjs", "webui/list.mjs", "comfyui/presample.css"].concat(
    ["chips", "clipboard", "result", "words"].map((name) => `comfyui/${name}.mjs`),
  );
  const address = (file) => new URL(file, here).href;

  /** Hosts say nothing about caching, and browsers then keep files for days, also after an update. */
  const refresh = () => Promise.all(FILES.map((file) => fetch(address(file), { cache: "no-cache" })));

  async function open() {
    try {
      await refresh();
      const { openPanels } = await import(address(FILES[0]));
      return openPanels();
    } catch (error) {
      console.error("Presample: the chips could not be loaded; everything else works without them.", error);
      return new Map();
    }
  }

  /** Hosts read their settings, the language among them, a while after the page is there. */
  const whenSet = (call) => (typeof onOptionsAvailable === "function" ? onOptionsAvailable(call) : call());
  const panels = new Promise((resolve) => onUiLoaded(() => whenSet(() => resolve(open()))));

  // What the server says to a panel, as `actions.py` and `panel.py` pass it on.
  document.addEventListener("presample", ({ detail }) => {
    panels.then((opened) => opened.get(detail.tab)?.hear(detail));
  });
})();
