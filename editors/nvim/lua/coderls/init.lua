-- coderls in Neovim: what users call. The ghost text itself is in ghost.lua, or Neovim's own behind native.lua.
local client_of = require('coderls.client')
local config = require('coderls.config')
local next_edits = require('coderls.next_edit')

local api = vim.api
local M = {}

local drawn_by = {} ---@type table<integer, table> buffer -> the module that draws its ghost text

local function drawer()
  return drawn_by[api.nvim_get_current_buf()]
end

--- What a key did before it was ours: run it as if it were typed.
local function fall_back(previous, key)
  if previous.lhs == nil then
    return key
  end
  local result = previous.rhs or ''
  if previous.callback ~= nil then
    result = previous.callback() or ''
  elseif previous.expr == 1 then
    result = api.nvim_eval(previous.rhs)
  end
  if previous.callback ~= nil and previous.expr ~= 1 then
    return ''
  end
  if previous.expr ~= 1 or previous.replace_keycodes == 1 then
    result = api.nvim_replace_termcodes(result, true, true, true)
  end
  api.nvim_feedkeys(result, previous.noremap == 1 and 'in' or 'im', false)
  return ''
end

local function map(action, key)
  local previous = vim.fn.maparg(key, 'i', false, true)
  if previous.desc == 'coderls: ' .. action then
    return
  end
  vim.keymap.set('i', key, function()
    if action == 'ask' or M.visible() then
      return ('<Plug>(coderls-%s)'):format(action)
    end
    return fall_back(previous, key)
  end, { expr = true, remap = true, replace_keycodes = true, desc = 'coderls: ' .. action })
end

--- Set options and enable the server. Optional: `vim.lsp.enable('coderls')` alone does with the defaults.
---@param options? coderls.Options
function M.setup(options)
  options = config.use(options)
  local ours = {}
  if options.cmd then
    ours.cmd = options.cmd
  end
  if options.settings then
    ours.settings = { coderls = options.settings }
  end
  if next(ours) ~= nil then
    vim.lsp.config('coderls', ours)
  end
  for _, action in ipairs(config.ACTIONS) do
    local key = options.keys[action]
    if key then
      map(action, key)
    end
  end
  if options.enable then
    vim.lsp.enable('coderls')
  end
end

--- Begin in a buffer that the server is attached to (the plugin calls it).
function M.attach(bufnr)
  local by = config.ghost_text()
  if by ~= 'off' then
    M.detach(bufnr)
    drawn_by[bufnr] = require(by == 'native' and 'coderls.native' or 'coderls.ghost')
    drawn_by[bufnr].attach(bufnr)
  end
  if config.options.next_edit then
    next_edits.attach(bufnr)
  end
  require('coderls.status').look(bufnr)
end

--- End in a buffer (the plugin calls it).
function M.detach(bufnr)
  next_edits.detach(bufnr)
  if drawn_by[bufnr] ~= nil then
    drawn_by[bufnr].detach(bufnr)
    drawn_by[bufnr] = nil
  end
end

--- Whether ghost text is to be seen in the current buffer.
function M.visible()
  local by = drawer()
  return by ~= nil and by.visible(api.nvim_get_current_buf())
end

--- Take the ghost text: all of it, its next word, or its line. False where there is none.
---@param what? 'word'|'line'
function M.accept(what)
  local by = drawer()
  return by ~= nil and by.accept(api.nvim_get_current_buf(), what)
end

--- Show the next alternative.
function M.next()
  local by = drawer()
  return by ~= nil and by.step(api.nvim_get_current_buf(), 1)
end

--- Show the alternative before.
function M.previous()
  local by = drawer()
  return by ~= nil and by.step(api.nvim_get_current_buf(), -1)
end

--- Take the ghost text away. The same is not offered here again for a while.
function M.dismiss()
  local by = drawer()
  return by ~= nil and by.dismiss(api.nvim_get_current_buf())
end

--- Ask now: also where automatic answers stay away, and for several alternatives.
function M.ask()
  local by = drawer()
  return by ~= nil and by.ask(api.nvim_get_current_buf())
end

--- Go to the edit that follows from the last ones; there, take it. False where there is none.
function M.next_edit()
  return next_edits.next(api.nvim_get_current_buf())
end

--- Take the next edit away. The same is not offered again for a while. False where there is none.
function M.dismiss_next_edit()
  return next_edits.dismiss(api.nvim_get_current_buf())
end

--- The server may have an answer now that it had not before (the plugin calls it).
function M.again(bufnr)
  if drawn_by[bufnr] ~= nil then
    drawn_by[bufnr].again(bufnr)
  end
end

--- A few words for a statusline: `coderls: ready`; empty where coderls is not attached.
---@return string
function M.statusline()
  return require('coderls.status').line(api.nvim_get_current_buf())
end

--- Automatic completions off, on, or the other way round, in all folders.
---@param paused? boolean
function M.pause(paused)
  require('coderls.status').pause(paused)
end

M.client = client_of.of

return M
