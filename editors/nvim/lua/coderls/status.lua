-- What the servers say of themselves (`coderls/status`), in words for a statusline and a message.
local client_of = require('coderls.client')

local api = vim.api
local M = {}

---@class coderls.Status state: starting, loading, ready, slow, offline, paused, off or error
---@field state string
---@field text string a few words
---@field detail? string why, and what to do
---@field percent? integer
---@field model? string
---@field device? string
---@field log? string the engine's log file

local known = {} ---@type table<integer, coderls.Status> client -> what it said last
local excluded = {} ---@type table<integer, string> buffer -> why nothing is completed in it
local paused = false

local function redraw()
  vim.schedule(function()
    vim.cmd.redrawstatus({ bang = true })
    api.nvim_exec_autocmds('User', { pattern = 'CoderlsStatus', modeline = false })
  end)
end

--- A server said how it is.
function M.told(client_id, status)
  if type(status) ~= 'table' or type(status.state) ~= 'string' then
    return
  end
  local before = known[client_id]
  known[client_id] = status
  redraw()
  if status.state == 'ready' and (before == nil or before.state ~= 'ready') then
    local bufnr = api.nvim_get_current_buf()
    local client = client_of.of(bufnr)
    if client ~= nil and client.id == client_id then
      require('coderls').again(bufnr)
    end
  end
end

--- A server is gone.
function M.gone(client_id)
  known[client_id] = nil
  redraw()
end

--- A buffer was attached: ask whether anything is completed in it, and keep a new server as quiet as the others.
function M.look(bufnr)
  local uri = vim.uri_from_bufnr(bufnr)
  client_of.execute(bufnr, 'coderls.status', { uri }, function(status)
    if type(status) == 'table' then
      excluded[bufnr] = status.excluded ~= '' and status.excluded or nil
      redraw()
    end
  end)
  if paused then
    client_of.execute(bufnr, 'coderls.pause', { true })
  end
end

--- The status of a buffer's server; nil where there is none. One that says nothing is "running".
---@return coderls.Status?
function M.of(bufnr)
  local client = client_of.of(bufnr)
  if client == nil then
    return nil
  end
  local status = known[client.id] or { state = 'ready', text = 'running' }
  if paused then
    status = vim.tbl_extend('force', status, { state = 'paused', text = 'paused' })
  elseif excluded[bufnr] ~= nil then
    status = vim.tbl_extend('force', status, { state = 'excluded', text = 'excluded file', detail = excluded[bufnr] })
  end
  return status
end

--- As `require('coderls').statusline`.
function M.line(bufnr)
  local status = M.of(bufnr)
  if status == nil then
    return ''
  end
  return ('coderls: %s'):format(status.text):gsub('%%', '%%%%')
end

--- As `require('coderls').pause`.
function M.pause(wanted)
  if wanted == nil then
    wanted = not paused
  end
  paused = wanted
  for _, client in ipairs(vim.lsp.get_clients({ name = 'coderls' })) do
    local bufnr = next(client.attached_buffers)
    if bufnr ~= nil then
      client_of.execute(bufnr, 'coderls.pause', { paused })
    end
  end
  if not paused then
    require('coderls').again(api.nvim_get_current_buf())
  end
  redraw()
  return paused
end

--- Whether automatic completions are off.
function M.is_paused()
  return paused
end

return M
