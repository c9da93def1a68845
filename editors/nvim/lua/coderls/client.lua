-- The life of the language server in Neovim: when it is started, what it is told, and what happens when it dies.
local config = require('coderls.config')

local M = {}

local MARKERS = { '.git', '.hg', 'pyproject.toml', 'package.json', 'go.mod', 'Cargo.toml' }
local WINDOW_S = 60
local deaths = {} -- seconds at which servers died

--- The client of a buffer, once it is initialized.
---@param bufnr? integer
---@return vim.lsp.Client?
function M.of(bufnr)
  return vim.lsp.get_clients({ name = 'coderls', bufnr = bufnr or 0 })[1]
end

--- The command of the server, without `--stdio`; nil where it is a function.
---@return string[]?
function M.command()
  local cmd = vim.lsp.config.coderls and vim.lsp.config.coderls.cmd
  if type(cmd) ~= 'table' then
    return nil
  end
  return vim.tbl_filter(function(word)
    return word ~= '--stdio'
  end, cmd)
end

--- A file was opened: say once where there is no command that could be started.
function M.opened(bufnr)
  if vim.bo[bufnr].buftype ~= '' or not vim.lsp.is_enabled('coderls') then
    return
  end
  local command = M.command()
  if command == nil or vim.fn.executable(command[1]) == 1 then
    return
  end
  local text = 'coderls: there is no command %s. Install coderls, or name it: '
    .. "vim.lsp.config('coderls', { cmd = { '/path/to/coderls', '--stdio' } }). :checkhealth coderls says more."
  vim.notify_once(text:format(command[1]), vim.log.levels.WARN)
end

--- `root_dir` of the configuration: whether a server is wanted for a buffer, and for which folder.
function M.root_dir(bufnr, on_dir)
  if vim.api.nvim_buf_get_name(bufnr) == '' or vim.bo[bufnr].buftype ~= '' then
    return -- two buffers without a name would be one document to a server
  end
  on_dir(vim.fs.root(bufnr, vim.lsp.config.coderls.root_markers or MARKERS))
end

--- `before_init` of the configuration: what this editor can do depends on who draws the ghost text.
function M.before_init(params)
  local capabilities = params.capabilities
  local wanted = config.ghost_text() ~= 'off'
  capabilities.textDocument.inlineCompletion = wanted and { dynamicRegistration = false } or nil
  local ours = { coderlsStatus = true, coderlsNextEdit = true }
  capabilities.experimental = vim.tbl_extend('force', capabilities.experimental or {}, ours)
end

--- `on_exit` of the configuration: a server that died is started again, but not for ever.
function M.on_exit(code, signal, client_id)
  vim.schedule(function()
    require('coderls.status').gone(client_id)
    if (code == 0 and signal == 0) or vim.v.exiting ~= vim.NIL or not vim.lsp.is_enabled('coderls') then
      return
    end
    local now = vim.uv.now() / 1000
    deaths = vim.tbl_filter(function(at)
      return now - at < WINDOW_S
    end, deaths)
    table.insert(deaths, now)
    if #deaths > config.options.restarts then
      vim.notify(
        'coderls: the server stopped again and again, and is not started any more. '
          .. ':Coderls doctor may say why; :Coderls restart tries again.',
        vim.log.levels.ERROR
      )
      return
    end
    vim.lsp.enable('coderls')
  end)
end

--- Stop the servers, and start new ones for all buffers that had one.
function M.restart()
  deaths = {}
  local old = vim.lsp.get_clients({ name = 'coderls' })
  for _, client in ipairs(old) do
    client:stop()
  end
  vim.wait(3000, function()
    return #vim.lsp.get_clients({ name = 'coderls' }) == 0
  end, 20)
  vim.lsp.enable('coderls')
end

--- A buffer got a name: attach it, if it would have been.
function M.named(bufnr)
  if vim.lsp.is_enabled('coderls') and M.of(bufnr) == nil and vim.bo[bufnr].filetype ~= '' then
    vim.api.nvim_exec_autocmds('FileType', { group = 'nvim.lsp.enable', buffer = bufnr, modeline = false })
  end
end

--- Run one of the server's commands; `done` gets its result, and nothing where there is none.
---@param bufnr integer
---@param command string
---@param arguments any[]
---@param done? fun(result: any)
---@return boolean whether there is a server that knows it
function M.execute(bufnr, command, arguments, done)
  local client = M.of(bufnr)
  if client == nil or not M.knows(client, command) then
    return false
  end
  return client:request('workspace/executeCommand', { command = command, arguments = arguments }, function(err, result)
    if err ~= nil then
      vim.notify('coderls: ' .. err.message, vim.log.levels.WARN)
    elseif done ~= nil then
      done(result)
    end
  end, bufnr)
end

--- Whether a server has a command.
---@param client vim.lsp.Client
---@param command string
function M.knows(client, command)
  local provider = client.server_capabilities and client.server_capabilities.executeCommandProvider
  return provider ~= nil and vim.list_contains(provider.commands or {}, command)
end

return M
