export function restore() {}
