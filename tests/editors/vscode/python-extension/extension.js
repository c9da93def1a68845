// Stands for ms-python.python, which cannot be had without its marketplace: the part of its published interface
// (https://github.com/microsoft/vscode-python/tree/main/pythonExtensionApi) that coderls uses, with the same names and types.

const vscode = require("vscode");

exports.activate = (context) => {
  const chosen = () => vscode.workspace.getConfiguration("python").get("defaultInterpreterPath", "");
  const changed = new vscode.EventEmitter();
  const noticed = (event) => event.affectsConfiguration("python.defaultInterpreterPath") && changed.fire({ id: chosen(), path: chosen() });
  context.subscriptions.push(changed, vscode.workspace.onDidChangeConfiguration(noticed));
  const resolved = (file) => ({ id: file, path: file, executable: { uri: vscode.Uri.file(file), bitness: "64-bit", sysPrefix: "" } });
  return {
    environments: {
      onDidChangeActiveEnvironmentPath: changed.event,
      getActiveEnvironmentPath: () => ({ id: chosen(), path: chosen() }),
      resolveEnvironment: async ({ path }) => (path === "" ? undefined : resolved(path)),
    },
  };
};
