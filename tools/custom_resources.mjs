// Validates custom resources by the schemas of their CRDs:
// node tools/custom_resources.mjs NODE_MODULES FILE...
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const PACKAGES = {
  "gateway.networking.k8s.io": "@kubernetes-models/gateway-api",
  "monitoring.coreos.com": "@kubernetes-models/prometheus-operator",
};
const [modules, ...files] = process.argv.slice(2);
const load = async (...parts) => {
  const found = await import(pathToFileURL(path.join(path.resolve(modules), ...parts)));
  return { ...found.default, ...found };
};
const yaml = await load("js-yaml", "index.js");

let checked = 0;
let failed = 0;
for (const file of files) {
  for (const manifest of yaml.loadAll(fs.readFileSync(file, "utf8"))) {
    if (!manifest?.apiVersion) continue;
    const [group, version] = manifest.apiVersion.split("/");
    if (!(group in PACKAGES)) continue;
    try {
      const kinds = await load(PACKAGES[group], group, version, "index.js");
      if (!kinds[manifest.kind]) throw new Error(`${manifest.apiVersion} has no ${manifest.kind}`);
      new kinds[manifest.kind](manifest).validate();
      checked += 1;
    } catch (error) {
      failed += 1;
      console.error(`${file}: ${manifest.kind}/${manifest.metadata.name}: ${error.message}`);
    }
  }
}
console.log(`${checked} custom resources are valid, ${failed} are not`);
process.exit(failed || !checked ? 1 : 0);
