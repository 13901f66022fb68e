/**
 * Everything that runs in a browser: the prebuilt JupyterLab extension, the widgets as an AMD module for VS Code and
 * the classic notebook, the script of exported HTML files, and with `--env gallery` the test page of all elements.
 * Output: `share/jupyter/labextensions/lm-transparency` (static/*, package.json),
 * `share/jupyter/nbextensions/lm-transparency`, `dist/static` and `dist/gallery`.
 */
const { createHash } = require("node:crypto");
const fs = require("node:fs");
const path = require("node:path");
const webpack = require("webpack");
const pkg = require("./package.json");

const NAME = pkg.name;
const NBEXTENSION = path.resolve(__dirname, "share/jupyter/nbextensions", NAME);
const LABEXTENSION = path.resolve(__dirname, "share/jupyter/labextensions", NAME);

/**
 * What all bundles have in common. Class fields are assigned, not defined, or they would hide Lit's reactive
 * properties.
 */
const common = {
  mode: "production",
  devtool: false,
  performance: { hints: false },
  resolve: { extensions: [".ts", ".js"] },
  module: {
    rules: [
      {
        test: /\.ts$/,
        loader: "swc-loader",
        options: {
          jsc: { target: "es2022", parser: { syntax: "typescript" }, transform: { useDefineForClassFields: false } },
        },
      },
    ],
  },
  stats: "errors-warnings",
};

const version = new webpack.DefinePlugin({ LMT_VERSION: JSON.stringify(pkg.version) });

/** Writes the package.json by which JupyterLab finds the extension: it names the hashed entry file. */
class LabextensionManifest {
  apply(compiler) {
    compiler.hooks.afterEmit.tap("LabextensionManifest", (compilation) => {
      const entry = Object.keys(compilation.assets).find((name) => /^remoteEntry\..*\.js$/.test(name));
      if (!entry) throw new Error("webpack made no remoteEntry file.");
      const manifest = {
        name: NAME,
        version: pkg.version,
        description: pkg.description,
        license: pkg.license,
        jupyterlab: {
          extension: true,
          mimeExtension: true,
          _build: { load: `static/${entry}`, extension: "./extension", mimeExtension: "./mimeExtension" },
        },
      };
      fs.writeFileSync(path.join(LABEXTENSION, "package.json"), JSON.stringify(manifest, null, 2) + "\n");
    });
  }
}

const labextension = {
  ...common,
  name: "labextension",
  entry: {},
  output: {
    path: path.join(LABEXTENSION, "static"),
    filename: "[name].[contenthash].js",
    chunkFilename: "[name].[contenthash].js",
    publicPath: "auto",
    uniqueName: `${NAME}-${createHash("sha256").update(pkg.version).digest("hex").slice(0, 8)}`,
    clean: true,
  },
  plugins: [
    version,
    new webpack.container.ModuleFederationPlugin({
      name: NAME,
      library: { type: "var", name: ["_JUPYTERLAB", NAME] },
      filename: "remoteEntry.[contenthash].js",
      exposes: { "./extension": "./labextension/extension.ts", "./mimeExtension": "./labextension/mime.ts" },
      shared: {
        "@jupyter-widgets/base": { singleton: true, import: false, requiredVersion: "^6.0.0" },
        "@lumino/widgets": { singleton: true, import: false, requiredVersion: "^2.0.0" },
      },
    }),
    new LabextensionManifest(),
  ],
};

/** The script of pages goes where no file with licences is beside it. */
const NOTICE =
  "/* lm-transparency, Apache-2.0. Contains Lit, (c) Google LLC, BSD-3-Clause, and D3, (c) Mike Bostock, ISC. */";

/** One chunk: whoever loads it finds no others. */
const single = () => new webpack.optimize.LimitChunkCountPlugin({ maxChunks: 1 });

/**
 * Where notebook front ends without federated modules look for a widget's module: `nbextensions/lm-transparency/index`.
 */
class NbextensionEntry {
  apply(compiler) {
    compiler.hooks.afterEmit.tap("NbextensionEntry", () => {
      const map = JSON.stringify({ map: { "*": { [NAME]: `nbextensions/${NAME}/index` } } });
      const source = `define(function () {\n  "use strict";\n  window["requirejs"].config(${map});\n  return { load_ipython_extension: function () {} };\n});\n`;
      fs.writeFileSync(path.join(NBEXTENSION, "extension.js"), source);
    });
  }
}

const nbextension = {
  ...common,
  name: "nbextension",
  entry: { index: "./widgets/shells/jupyter.ts" },
  output: { path: NBEXTENSION, filename: "[name].js", library: { type: "amd" }, publicPath: "", clean: true },
  externals: ["@jupyter-widgets/base"],
  plugins: [version, single(), new NbextensionEntry()],
};

const exported = {
  ...common,
  name: "static",
  entry: { picture: "./widgets/static/index.ts" },
  output: { path: path.resolve(__dirname, "dist/static"), filename: "[name].js", clean: true },
  plugins: [
    version,
    single(),
    new webpack.BannerPlugin({ banner: NOTICE, raw: true, stage: webpack.Compilation.PROCESS_ASSETS_STAGE_REPORT }),
  ],
};

const gallery = {
  ...common,
  name: "gallery",
  entry: { gallery: "./widgets/gallery/index.ts" },
  output: { path: path.resolve(__dirname, "dist/gallery"), filename: "[name].js" },
  plugins: [version],
};

module.exports = (env = {}) => (env.gallery ? [gallery] : [labextension, nbextension, exported]);
