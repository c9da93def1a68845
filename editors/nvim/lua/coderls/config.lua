-- Options of the plugin. Options of the server (`engine.model` …) are in `settings`; the README lists them.
local M = {}

---@class coderls.Options
---@field ghost_text? 'auto'|'native'|'own'|'off' auto: Neovim's own where it has one (0.12), else the plugin's
---@field with_popup? boolean show the plugin's ghost text beside an open completion menu
---@field next_edit? boolean show the edit that follows from the last ones
---@field keys? table<string, string|false> keys in insert mode, by action; none by default
---@field cmd? string[] the server's command
---@field settings? table options of the server, such as { engine = { model = 'qwen2.5-coder-1.5b' } }
---@field restarts? integer how often a server that dies is started again within a minute
---@field enable? boolean whether `setup` enables the server
local DEFAULTS = {
  ghost_text = 'auto',
  with_popup = false,
  next_edit = true,
  keys = {},
  cmd = false,
  settings = false,
  restarts = 3,
  enable = true,
}

M.ACTIONS = { 'accept', 'accept-word', 'accept-line', 'next', 'previous', 'dismiss', 'ask' }

local function one_of(...)
  local choices = { ... }
  return function(value)
    return vim.list_contains(choices, value), 'one of ' .. table.concat(choices, ', ')
  end
end

local function typed(kind, words)
  return function(value)
    return type(value) == kind, words
  end
end

local CHECKS = {
  ghost_text = one_of('auto', 'native', 'own', 'off'),
  with_popup = typed('boolean', 'true or false'),
  next_edit = typed('boolean', 'true or false'),
  cmd = function(value)
    return value == false or (vim.islist(value) and #value > 0), 'a list: { "coderls", "--stdio" }'
  end,
  settings = function(value)
    return value == false or type(value) == 'table', 'a table'
  end,
  restarts = typed('number', 'a number'),
  enable = typed('boolean', 'true or false'),
  keys = function(value)
    if type(value) ~= 'table' then
      return false, 'a table'
    end
    for action, key in pairs(value) do
      if not vim.list_contains(M.ACTIONS, action) then
        return false, 'a table with some of ' .. table.concat(M.ACTIONS, ', ')
      elseif key ~= false and type(key) ~= 'string' then
        return false, 'a table of keys such as "<Tab>"'
      end
    end
    return true
  end,
}

M.options = vim.deepcopy(DEFAULTS)

--- Take over options. Wrong ones are named, and their defaults used.
---@param given? coderls.Options
function M.use(given)
  M.options = vim.deepcopy(DEFAULTS)
  local wrong = {}
  if given ~= nil and type(given) ~= 'table' then
    wrong, given = { 'the options must be a table' }, nil
  end
  for name, value in vim.spairs(given or {}) do
    if CHECKS[name] == nil then
      table.insert(wrong, ('there is no option %s'):format(name))
    else
      local fits, words = CHECKS[name](value)
      if fits then
        M.options[name] = value
      else
        table.insert(wrong, ('%s must be %s'):format(name, words))
      end
    end
  end
  if #wrong > 0 then
    vim.notify('coderls: ' .. table.concat(wrong, '; ') .. '. See :help coderls-options.', vim.log.levels.WARN)
  end
  return M.options
end

--- Who draws the ghost text: 'native', 'own' or 'off'.
function M.ghost_text()
  local wanted = M.options.ghost_text
  local has_native = vim.lsp.inline_completion ~= nil
  if wanted == 'auto' or (wanted == 'native' and not has_native) then
    return has_native and 'native' or 'own'
  end
  return wanted
end

return M
